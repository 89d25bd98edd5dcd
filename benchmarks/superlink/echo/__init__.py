"""A Flower app whose clients send the model back."""

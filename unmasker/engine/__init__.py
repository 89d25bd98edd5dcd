"""The unmasker itself: what each call does, and what is done every day."""

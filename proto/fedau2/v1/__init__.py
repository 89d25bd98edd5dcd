"""Generated messages and stubs of the `fedau2.v1` protocol; `make proto` writes them."""

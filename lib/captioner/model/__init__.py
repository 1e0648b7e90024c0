"""The vision-language model itself: whether its files are whole, how it is loaded, how it is asked."""

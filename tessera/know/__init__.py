"""Know: what SQL cannot say well, learned from purchases: value, the next basket, uplift, lift."""

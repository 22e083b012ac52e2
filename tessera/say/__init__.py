"""Say: templates in the customer's language become subject, HTML and text."""

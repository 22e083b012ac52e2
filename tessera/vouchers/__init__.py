"""Vouchers: codes that take something off at the till, and what becomes of each."""

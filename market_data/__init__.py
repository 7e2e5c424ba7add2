"""Instruments, subscriptions, live ticks and candles."""

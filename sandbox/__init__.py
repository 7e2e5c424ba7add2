"""A Kite-compatible exchange: a separate program that speaks Kite Connect v3 on one port."""

"""Tests of market data."""

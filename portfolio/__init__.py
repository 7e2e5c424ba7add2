"""Positions, holdings, margins and exposure over the accounts."""

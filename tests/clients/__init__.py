"""Tests of our clients, against servers of ours."""

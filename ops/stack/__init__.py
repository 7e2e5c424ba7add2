"""Everything below the platform on one machine: installer, servers, supervisor. No Django here."""

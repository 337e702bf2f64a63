"""Tests by tier: unit, contract, integration, e2e, simulation, and tidy, where the repository looks at itself."""

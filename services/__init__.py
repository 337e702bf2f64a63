"""The four domain services. Each owns its contract, its database and its rules; knowing one is knowing all."""

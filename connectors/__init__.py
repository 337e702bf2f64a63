"""One folder per outside system: each speaks that system's own words on one side and connector/v1 on the other."""

"""The collector: takes records from agents, keeps them, and shows them."""

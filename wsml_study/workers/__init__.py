"""Warm trial workers: one Ray Train worker group per slot, kept from trial to trial."""

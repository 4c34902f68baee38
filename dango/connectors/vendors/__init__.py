"""Vendors whose answers a plain entry of the registry cannot say: reports that are waited for, days, exports."""

"""One module per subject: what it asks, what it runs, and how it presents what came out."""
from . import (cold_start, hit_cost, memory, object_size, oo7, publisher, read_cost, reclaimers, recovery, replacement,
               throughput, transactions, ycsb, zodbshootout)

ALL = (
    memory.Memory(),
    read_cost.ReadCost(),
    hit_cost.HitCost(),
    throughput.Sessions(),
    throughput.WriteShare(),
    object_size.ObjectSize(),
    reclaimers.Reclaimers(),
    cold_start.ColdStart(),
    oo7.Oo7(),
    replacement.ReplacementPolicies(),
    transactions.Oo7Users(),
    zodbshootout.Zodbshootout(),
    ycsb.Ycsb(),
    transactions.Smallbank(),
    transactions.Stmbench7(),
    publisher.Publisher(),
    recovery.Recovery(),
)

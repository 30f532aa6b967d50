"""One module per subject: what it asks, what it runs, and how it presents what came out."""
from . import (cluster, cold_start, memory, oo7, publisher, read_cost, reclaimers, replacement, scaling, throughput,
               transactions, ycsb, zodbshootout)

ALL = (
    memory.Memory(),
    read_cost.ReadCost(),
    throughput.Sessions(),
    throughput.WriteShare(),
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
    scaling.Scaling(),
    cluster.Cluster(),
)

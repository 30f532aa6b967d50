"""How far an operation scales, from the transfers of cache lines that it causes: a model, not a measurement.

An operation takes what it takes alone, and for each transfer the time of a transfer. What it transfers is in turn
somebody else's, so it cannot be had faster than one transfer after the other:

    throughput(n) = min(n / (alone + transfers * cost(n)), 1 / serial(n))

The upper edge of the band takes the line that most transfers are about as the only thing that is serial. The lower edge takes
the whole operation as serial, as under one lock, if it transfers anything at all. Both are drawn for two published machines
and the wider of the edges counts. Left out: bandwidth of memory, clock rates that fall with busy cores, hyper-threads.
"""
from __future__ import annotations

from dataclasses import dataclass

SOURCE = ("N. Viennot, core-to-core-latency (github.com/nviennot/core-to-core-latency): medians of a compare-and-swap "
          "ping-pong, one way")
SHAPE = ("David, Guerraoui, Trigonakis, Everything You Always Wanted to Know about Synchronization but Were Afraid to Ask, "
         "SOSP 2013: what costs is crossing sockets, and scaling is mainly a property of the hardware; Schweizer, Besta, "
         "Hoefler, Evaluating the Cost of Atomic Operations on Modern Architectures, PACT 2015: the atomics cost about the same, and "
         "none overlaps with another")


@dataclass(frozen=True)
class Machine:
    """Cores in groups that share a cache, groups in sockets; nanoseconds of a transfer within each and across."""

    name: str
    group: int
    socket: int
    group_ns: float
    socket_ns: float
    across_ns: float

    def cost_ns(self, cores: int) -> float:
        """The mean transfer, when the other side is any of the other cores in use; they are filled group by group."""
        if cores < 2:
            return 0.0
        total = 0.0
        for core in range(cores):
            in_group = min(cores, (core // self.group + 1) * self.group) - core // self.group * self.group
            in_socket = min(cores, (core // self.socket + 1) * self.socket) - core // self.socket * self.socket
            total += ((in_group - 1) * self.group_ns + (in_socket - in_group) * self.socket_ns
                      + (cores - in_socket) * self.across_ns) / (cores - 1)
        return total / cores


# More than two sockets of these are not on sale; from there on the model goes on as if they were.
MACHINES = (
    Machine("Intel Xeon Platinum 8375C (Ice Lake, 32 cores a socket)", 32, 32, 51, 51, 108),
    Machine("AMD EPYC 7R13 (Milan, 48 cores a socket in groups of 8)", 8, 48, 23, 107, 197),
)


@dataclass(frozen=True)
class Operation:
    alone_ns: float  # with one thread
    transfers: float  # of cache lines, with several
    busiest: float  # of them, about one and the same line


def throughput(operation: Operation, cores: int, cost_ns: float, all_serial: bool) -> float:
    """Operations per second."""
    if cores == 1:
        return 1e9 / operation.alone_ns
    each = operation.alone_ns + operation.transfers * cost_ns
    if all_serial:
        # A transfer in one of many operations makes only that one serial.
        serial = min(1.0, operation.transfers) * operation.alone_ns + operation.transfers * cost_ns
    else:
        serial = operation.busiest * cost_ns
    parallel = cores * 1e9 / each
    return min(parallel, 1e9 / serial) if serial > 0 else parallel


def band(operation: Operation, cores: int) -> tuple[float, float]:
    """Lower and upper edge of what is predicted."""
    costs = [machine.cost_ns(cores) for machine in MACHINES]
    return (min(throughput(operation, cores, cost, all_serial=True) for cost in costs),
            max(throughput(operation, cores, cost, all_serial=False) for cost in costs))

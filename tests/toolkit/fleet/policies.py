"""Policies of the tests on real boards: what is not the question of a test is not measured."""

#: All boards at once, without any measurement.
QUICK = """
[gates]
parity = false
latency_ratio = false
temperature = false
[[wave]]
fraction = 1.0
"""

#: One board, then the others; without any measurement.
ONE_THEN_ALL = """
[gates]
parity = false
latency_ratio = false
temperature = false
[[wave]]
count = 1
[[wave]]
fraction = 1.0
"""

#: One board, then the others; outputs are compared, and the first failure stops.
CAREFUL = """
[gates]
latency_ratio = false
temperature = false
[[wave]]
count = 1
[[wave]]
fraction = 1.0
"""

#: All boards at once; the rollout comes to its end although six boards are bad.
PATIENT = """
[gates]
latency_ratio = 3.0
temperature = false
[failure_budget]
count = 6
rate = 1.0
[unreachable]
count = 2
rate = 1.0
deadline_s = 2
[[wave]]
fraction = 1.0
"""

"""That the gate can fail: a small profile is read right, and figures that have grown are found."""
import unittest

import callgrind
import gate

PROFILE = """# callgrind format
positions: line
events: Ir sysCount sysTime
summary: 175 2 9

ob=(1) /lib/libstore.so
fl=(1) store.cc
fn=(1) tarn::(anonymous namespace)::Store::Put(std::vector<std::pair<int, int> >, char const*)
10 50
11 5 2 9
cob=(2) /lib/libc.so.6
cfi=(2) malloc.c
cfn=(2) malloc
calls=3 20
12 60
cob=(3) /lib/libzip.so
cfn=(3) 0x0000000000001234
calls=1 0
13 60

fn=(4) main
cfn=(1)
calls=0 5
4 175 2 9

ob=(2)
fl=(2)
fn=(2)
20 60

ob=(3)
fn=(3)
0 40
cfn=(5) 0x0000000000005678
calls=2 0
0 20

fn=(5)
0 20
"""


class ProfileTest(unittest.TestCase):
    def setUp(self):
        self.profile = callgrind.Profile(PROFILE)

    def test_self_costs_add_up_and_calls_are_not_counted_twice(self):
        self.assertEqual(self.profile.total(), (175, 2, 0))
        self.assertEqual(self.profile.allocations, 3)

    def test_functions(self):
        put = next(f for n, f in self.profile.functions.items() if callgrind.short(n) == "Store::Put")
        self.assertEqual((put.own, put.inclusive), ((55, 2, 0), 175))
        self.assertEqual(self.profile.functions["malloc"].calls, 3)

    def test_functions_without_a_name_are_their_library(self):
        self.assertEqual(self.profile.functions["[libzip.so]"].own.instructions, 60)

    def test_counters_are_found_by_their_names(self):
        profile = callgrind.Profile("events: Ir Dr D1mr D1mw\nsummary: 30 9 2 3\nfn=(1) f\n1 30 9 2 3\n")
        self.assertEqual(profile.total(), (30, 0, 5))

    def test_a_profile_that_does_not_add_up_is_refused(self):
        with self.assertRaises(ValueError):
            callgrind.Profile(PROFILE.replace("10 50\n", "10 51\n"))


class CompareTest(unittest.TestCase):
    recorded = {"put": {"instructions": 1000.0, "allocations": 0.0, "system_calls": 1.0}}

    def wrong(self, **counters):
        return gate.compare({"put": dict(self.recorded["put"], **counters)}, self.recorded, 5.0)

    def test_within_the_tolerance(self):
        self.assertEqual(self.wrong(instructions=1049.0), [])
        self.assertEqual(self.wrong(instructions=1.0), [])

    def test_above_the_tolerance(self):
        self.assertRegex(self.wrong(instructions=1051.0)[0], "put: 1,051.000 instructions are 5.1 % above")
        self.assertRegex(self.wrong(system_calls=2.0)[0], "system calls are 100.0 % above")

    def test_a_first_allocation_is_above_every_tolerance(self):
        self.assertRegex(self.wrong(allocations=0.5)[0], "allocations are inf % above")

    def test_an_operation_without_figures_is_not_passed_over(self):
        self.assertRegex(gate.compare({"get": self.recorded["put"]}, self.recorded, 5.0)[0], "no recorded figure")


if __name__ == "__main__":
    unittest.main()

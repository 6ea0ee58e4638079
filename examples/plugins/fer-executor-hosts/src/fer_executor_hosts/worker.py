"""On a machine: executes the run that stands on standard input, and prints why it failed."""

import os
import pickle
import sys

from fer_core.plugin import FerError, run_here

run, device, folder = pickle.load(sys.stdin.buffer)
os.chdir(folder)
try:
    print(run_here(run, device))
except FerError as error:
    print(error)

"""The rows of one environment: interop.py t5|t4 [ROW...]. Started by run.sh."""
import sys

import torch
from transformers.utils import logging

import common
import rows_in  # noqa: F401
import rows_out  # noqa: F401
import rows_real  # noqa: F401
import rows_text  # noqa: F401

torch.set_num_threads(1)
logging.disable_progress_bar()
common.main(sys.argv[1], sys.argv[2:])

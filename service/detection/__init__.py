"""Which model, what runs it, and how a picture becomes faces."""

import os

# ONNX Runtime reports its use, with names and hashes of models, to its maker unless this is set when it is loaded.
# Nothing leaves this service, so it is set whatever the environment says, before any module here can load it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""The verbs of ``python -m caffe_compat``, one module each."""

"""Caffe's files: the schema, prototxt text, weights and solver states, database records.

``caffe_pb2``  the messages (generated from caffe.proto; never edited)
``text``       prototxt files to messages and back
``upgrade``    V0 and V1 forms to the current one
``weights``    caffemodel, solverstate and binaryproto files
``datum``      database records to arrays and back

Below them: ``blobs`` (BlobProto and arrays), ``blob_scan`` and ``wire`` (large binary files in place), ``hdf5`` (the
.h5 forms), ``whole_file`` (files that appear whole or not at all), ``generate`` (makes caffe_pb2).
"""

__all__ = ["caffe_pb2"]

from caffe_compat.proto import caffe_pb2

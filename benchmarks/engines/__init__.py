"""voc-fcn8s on several engines, all with the same weights.

work            what is to be computed, on how many threads
images          images and labels to compute on
weights         the weights, drawn by layer name
ours, plain_torch, opencv_dnn, onnx_runtime, open_vino, ncnn_net   one engine each
steps           a net as a list of steps that any engine has
onnx_graph, ncnn_graph, files                                      the net as files that engines read
timed           the engines by name; one of them built, run and timed
"""

"""From a NetParameter to a running net.

state_filter    which layers a phase, level and set of stages include
insert_splits   a Split layer for every top that is used more than once
graph           nodes, blobs and parameters, wired and checked; which of them need gradients
engine          forward and backward over the nodes, by one small autograd graph per layer
record          what a forward leaves for its backward
plan            exact rewrites that make a lean TEST net faster
batches         any number of inputs through a net, a batch at a time
weights_io      copying weights into a net and saving them
net             pycaffe's Net
"""

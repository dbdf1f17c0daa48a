"""Net specs: one file per dataset family over shared trunks and heads, and one table of all models.

``catalogue``  model name -> builder, dataset, splits, file names: the place to look a model up
``voc``        the PASCAL VOC and PASCAL-Context nets, and those of one color or HHA image
``nyud``       the NYUDv2 nets of several images
``siftflow``   the SIFT Flow nets of two tasks
``unreleased`` nets of the papers that were never released
``classifiers`` the classification nets that FCNs start from
``trunks``     the convolutionalised classification nets up to their last features; ``googlenet`` has GoogLeNet's
``heads``      scores, upsampling, skip fusion, loss
``loss_options`` sampling and balancing of the loss, interpolation that learns; their layers are in ``loss_layers``
``sources``    what feeds a net: a Python data layer, LMDBs, or plain inputs
``surgery``    moving weights between nets; bilinear interpolation weights
``geometry``   strides, sizes, receptive fields and depth from a message; ``size`` counts weights
"""

"""Net specs: one file per dataset family over shared trunks and heads, and one table of all models.

``catalogue``  model name -> builder, dataset, splits, file names: the place to look a model up
``voc``        the PASCAL VOC nets
``trunks``     the convolutionalised classification nets up to their last features
``heads``      scores, upsampling, skip fusion, loss
``sources``    what feeds a net: a Python data layer, LMDBs, or plain inputs
``surgery``    moving weights between nets; bilinear interpolation weights
"""

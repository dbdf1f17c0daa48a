"""Training and scoring the nets of ``nets``, as solve.py does; the command line is ``cli``.

what to run      ``recipes`` (a file for each model), ``recipe`` (what a recipe says), ``published`` (all figures of the
                 papers and the release), ``listing`` (--list, --emit-prototxt)
the data         ``datasets`` (from a data folder to splits), ``splits`` (a list of images), ``datasets_voc`` and so on
training         ``stages`` (the chain of recipes), ``training`` (one of them), ``initial`` (starting weights),
                 ``checkup`` (what is looked at before), ``report`` (tables and curve), ``demo``
scoring          ``metrics`` (from a confusion matrix), ``evaluation`` (all tasks, by a dataset's rules), ``score`` (as
                 the released score.py), ``measured`` (--score: weights on their split, beside what was published)
held to figures  ``verdict`` (one score), ``regression`` (all, by ``regression_specs``, ``_labels`` and ``_models``;
                 their lines are ``findings``)
predicting       ``infer`` (--infer), ``prediction`` (pictures through any net), ``voc_export`` (VOC's test server)
every command    ``device_option`` (--device, --precision)
"""

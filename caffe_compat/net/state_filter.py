"""Which layers of a net are there, given the net's state: phase, level and stages.

Source: BVLC/caffe src/caffe/net.cpp, FilterNet and StateMeetsRule.
"""

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["filter_net", "state_meets_rule"]


def state_meets_rule(state: pb.NetState, rule: pb.NetStateRule) -> bool:
    """Whether the state has the rule's phase, a level within its bounds, all its stages and none of its not_stages."""
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    return set(rule.stage) <= set(state.stage) and not set(rule.not_stage) & set(state.stage)


def filter_net(param: pb.NetParameter) -> pb.NetParameter:
    """A copy of the net with only the layers that its own ``state`` includes.

    A layer is in if it has no include rule and meets no exclude rule, or meets any of its include rules.

    Raises:
        LayerError: a layer has both include and exclude rules.
    """
    filtered = pb.NetParameter()
    filtered.CopyFrom(param)
    del filtered.layer[:]
    for layer in param.layer:
        if layer.include and layer.exclude:
            raise LayerError(layer.name, layer.type, "has both include and exclude rules; give one kind only")
        if layer.include:
            included = any(state_meets_rule(param.state, rule) for rule in layer.include)
        else:
            included = not any(state_meets_rule(param.state, rule) for rule in layer.exclude)
        if included:
            filtered.layer.append(layer)
    return filtered

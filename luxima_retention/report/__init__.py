"""The compliance report: one model, which every format renders."""

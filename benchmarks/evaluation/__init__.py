"""Evaluation: tasks make queries, systems predict, metrics measure.

`callback.Evaluation` runs every `tasks.Task` on a system whose `capabilities` support it, through one
`task_evaluator.TaskEvaluator` each; `run_info` and `records.record` make the record.

A cell is n/a, with its reason, if the task is not supported (`Task.unsupported_reason`), the system refuses the times
(`TaskEvaluator.skip`), a metric's weights are unavailable (`TaskEvaluator.unavailable`), or a value is not finite
(`ClipMetric._measured`).
"""

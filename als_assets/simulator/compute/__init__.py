"""Globus Compute over processes of this machine: functions, tasks, task groups and endpoints, as the REST API shows them.

Here: the routes that the SDK's REST client uses, and endpoints that really run functions. Not here: AMQP (the SDK's ``Executor``),
templates of endpoints and a batch system behind them (waiting is a time and a number of slots).
"""

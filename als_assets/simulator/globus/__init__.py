"""Globus Auth and Globus Transfer over directories of this machine.

Here: tokens for client identities, the file operations, and tasks that copy and delete real bytes. Not here: Globus Compute,
Flows and Groups, which answer a loud 501.
"""

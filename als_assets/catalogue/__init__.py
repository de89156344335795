"""SciCat: exactly one right record for every scan and every reconstruction, whatever fails on the way.

Here: what a record says (``records``), talking to the service (``client``) and making the one agree with the other
(``ensure``). Not here: when a record is due, which operation is open, or where copies are; those come in as plain values.
"""

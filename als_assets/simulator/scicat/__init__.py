"""SciCat's REST interface, versions 3 and 4, over one SQLite file.

Here: login, datasets with their blocks, attachments and lifecycle, proposals, samples and instruments, and the habits of
backend 4.27 and 5.2. Not here: publishing, jobs, logbooks and the frontend, which answer a loud 501.
"""

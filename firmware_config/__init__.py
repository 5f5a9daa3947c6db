"""The settings, the legal profile and each camera's authority: typed, bounded, and traced to file and line.

No setting can raise a legal cap, and no secret is held here. Of the project's own packages only `edge` is imported.
"""

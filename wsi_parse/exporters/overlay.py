"""Stub until the helper's lands."""
def draw_overlay(slide,tissue,batches,prompts,path,px): path.write_text("x")
def draw_preview(*a): pass

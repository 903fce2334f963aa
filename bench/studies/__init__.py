"""`hubel bench studies`: does each study give its known answer, and does it say nothing of nothing?"""

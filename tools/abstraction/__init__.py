"""Causal abstraction: does a subject compute what a high-level program computes, and where?"""

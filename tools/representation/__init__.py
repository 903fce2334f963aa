"""Methods on representations: probes, codelengths, concept vectors, erasure, similarity, maps.

All but `collect` are functions of arrays, seeded and without a subject. scikit-learn does what it can.
"""

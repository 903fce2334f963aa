"""Methods on representations: probes, codelengths, concept vectors, erasure, similarity, maps.

All but `collect` are functions of arrays, seeded and without a subject. scikit-learn does what it can.

    scale         centre and standardise, since a few dimensions of a stream are a hundred times larger
    folds         rows that belong together, spread over folds; jackknife intervals
    cka           debiased linear CKA of every two layers
    alignment     other similarities: Procrustes, SVCCA, representational similarity analysis
    maps          PCA, t-SNE and UMAP in two dimensions, with their trustworthiness
"""

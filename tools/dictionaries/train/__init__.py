"""Training of TopK dictionaries on a subject's vectors, in steps that a killed process resumes.

settings        what is trained, and how
vectors         shuffled vectors of a subject, in bounded memory
parameters      the tensors, how they begin, and the dictionary that they are
gradients       loss and gradients of a step, in closed form
optimiser       Adam, decoder rows of unit norm, latents that fell silent
checkpoint      the state on disk
train           the loop
quality         explained variance, sparsity and the subject's loss with reconstructions
"""

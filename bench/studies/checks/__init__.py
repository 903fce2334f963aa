"""The known answer and the null of each study, one file each."""

"""What hubel costs as the subject grows: measured at several sizes, fitted, and checked on one left out."""

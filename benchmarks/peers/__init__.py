"""What ordermesh is measured against, each as its own documentation would have one write it."""

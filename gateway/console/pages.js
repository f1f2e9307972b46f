// The pages, in the order of the navigation. `load` is called when one is first shown.

export const pages = [
  { name: "jobs", path: "/jobs", title: "Jobs", icon: "queue", nav: true, load: () => import("./jobs/page.js") },
  { name: "new", path: "/new", title: "New", icon: "plus", nav: true, load: () => import("./new/page.js") },
  { name: "operator", path: "/operator", title: "Operator", icon: "gauge", nav: true, load: () => import("./operator/page.js") },
  { name: "job", path: "/jobs/:id", title: "Job", load: () => import("./detail/page.js") },
];
